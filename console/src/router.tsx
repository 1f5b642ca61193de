// The address bar is the state: a place is a path and a query. Small enough to need no library.
import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useState,
  type AnchorHTMLAttributes,
  type MouseEvent,
  type ReactNode,
} from "react";

interface Place {
  /** The parts of the path, decoded: `/devices/cam-1` is `["devices", "cam-1"]`. */
  parts: readonly string[];
  query: URLSearchParams;
  go(to: string, how?: { replace?: boolean }): void;
  /** Changes parts of the query; an empty value removes its name. */
  change(values: Record<string, string>): void;
}

const Context = createContext<Place | null>(null);

export function usePlace(): Place {
  const place = useContext(Context);
  if (!place) throw new Error("there is no router here");
  return place;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function Router({ children }: { children: ReactNode }) {
  const [href, setHref] = useState(() => location.pathname + location.search);

  useEffect(() => {
    const note = () => setHref(location.pathname + location.search);
    addEventListener("popstate", note);
    return () => removeEventListener("popstate", note);
  }, []);

  const go = useCallback((to: string, how: { replace?: boolean } = {}) => {
    const before = location.pathname;
    history[how.replace ? "replaceState" : "pushState"](null, "", to);
    setHref(location.pathname + location.search);
    if (location.pathname !== before) scrollTo(0, 0);
  }, []);

  const place = useMemo<Place>(() => {
    const url = new URL(href, location.origin);
    return {
      parts: url.pathname.split("/").filter(Boolean).map(decode),
      query: url.searchParams,
      go,
      change(values) {
        const next = new URLSearchParams(url.searchParams);
        for (const [name, value] of Object.entries(values)) {
          if (value) next.set(name, value);
          else next.delete(name);
        }
        const search = next.toString();
        go(url.pathname + (search ? `?${search}` : ""), { replace: true });
      },
    };
  }, [href, go]);
  return <Context value={place}>{children}</Context>;
}

/** A link within the console; a new tab or window works as for any link. */
export function Link({ href, onClick, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const { go } = usePlace();
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(href);
  };
  return <a href={href} onClick={follow} {...rest} />;
}

export const deviceHref = (id: string): string => `/devices/${encodeURIComponent(id)}`;
export const caseHref = (id: string): string => `/cases/${encodeURIComponent(id)}`;
export const accountHref = (name: string): string => `/people/${encodeURIComponent(name)}`;
