// A dozen line drawings, so that no icon font is loaded. They never stand alone: words are beside them.
const PATHS = {
  overview: "M3 12l9-8 9 8M5 10v10h5v-6h4v6h5V10",
  devices: "M6 3h12v12H6zM9 19h6M12 15v4M9 6h6M9 9h6M9 12h3",
  cases: "M12 3l9 16H3zM12 9v4M12 16v.5",
  activity: "M2 12h5l3-8 4 16 3-8h5",
  policy: "M12 3l8 3v6c0 5-3.5 8-8 9-4.500-1-8-4-8-9V6zM9 12l2 2 4-4",
  people: "M9 5a3.500 3.500 0 100 7 3.500 3.500 0 000-7zM2.500 20a6.500 6.500 0 0113 0M16 5.500a3.500 3.500 0 010 6.500M18 14.500a6.500 6.500 0 013.500 5.500",
  account: "M12 4a4 4 0 100 8 4 4 0 000-8zM4.500 20.500a7.500 7.500 0 0115 0",
  key: "M15 4a5 5 0 11-4.600 7L4 17.500V21h4v-2.500h2.500V16l1.500-1.500M16 8.500v.5",
  settings: "M4 7h10M18 7h2M4 12h2M10 12h10M4 17h8M16 17h4M16 5v4M8 10v4M14 15v4",
  leave: "M10 4H4v16h6M9 12h12M17 8l4 4-4 4",
  search: "M10.500 4a6.500 6.500 0 100 13 6.500 6.500 0 000-13zM15.500 15.500L21 21",
  close: "M5 5l14 14M19 5L5 19",
  check: "M4 12.500l5 5L20 6.500",
  stop: "M8 3h8l5 5v8l-5 5H8l-5-5V8zM8 12h8",
  undo: "M9 5L4 10l5 5M4 10h10a6 6 0 010 12h-3",
  unlock: "M6 11h12v9H6zM9 11V7a3.500 3.500 0 016.500-1.500",
  plug: "M9 3v5M15 3v5M6 8h12v3a6 6 0 01-12 0zM12 17v4",
  clock: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 7v5l3.500 2",
  next: "M9 5l7 7-7 7",
  back: "M15 5l-7 7 7 7",
} as const;

export type IconName = keyof typeof PATHS | "mark";

export function Icon({ name }: { name: IconName }) {
  if (name === "mark") {
    return (
      <svg className="icon" viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="7" className="mark-ground" />
        <path
          className="mark-figure"
          d="M7 25V12l3-4 3 4v13zm6 0V12l3-4 3 4v13zm6 0V12l3-4 3 4v13z"
        />
        <path className="mark-rail" d="M5 17h22v2.400H5z" />
      </svg>
    );
  }
  return (
    <svg className="icon line" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
