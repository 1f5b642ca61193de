// What was done, said once, with its undo.
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { Button } from "react-aria-components";

import { Icon } from "./icon";

interface Notice {
  id: number;
  text: string;
  undo?: (() => void) | undefined;
}

interface Notices {
  notices: readonly Notice[];
  say(text: string, undo?: () => void): void;
  close(id: number): void;
}

/** Long enough to read and to reach the button; the undo itself stays on the page of what was done. */
const SHOWN_MS = 30_000;
const MOST = 3;

const Context = createContext<Notices | null>(null);

export function useNotices(): Notices {
  const notices = useContext(Context);
  if (!notices) throw new Error("there are no notices here");
  return notices;
}

export function NoticesProvider({ children }: { children: ReactNode }) {
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  const next = useRef(1);
  const close = useCallback((id: number) => setNotices((all) => all.filter((notice) => notice.id !== id)), []);
  const say = useCallback((text: string, undo?: () => void) => {
    const notice = { id: next.current++, text, undo };
    setNotices((all) => [notice, ...all].slice(0, MOST));
  }, []);
  const value = useMemo(() => ({ notices, say, close }), [notices, say, close]);
  return <Context value={value}>{children}</Context>;
}

export function Notices() {
  const { notices, close } = useNotices();
  return (
    <section className="notices" aria-label="Notices" aria-live="polite">
      {notices.map((notice) => (
        <OneNotice key={notice.id} notice={notice} close={() => close(notice.id)} />
      ))}
    </section>
  );
}

function OneNotice({ notice, close }: { notice: Notice; close: () => void }) {
  const [isHeld, setHeld] = useState(false);
  const end = useRef(close);
  end.current = close;
  useEffect(() => {
    if (isHeld) return;
    const timer = setTimeout(() => end.current(), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isHeld]);
  return (
    <div
      className="notice"
      onMouseEnter={() => setHeld(true)}
      onMouseLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
    >
      <p>{notice.text}</p>
      {notice.undo && (
        <Button
          className="button"
          onPress={() => {
            notice.undo?.();
            close();
          }}
        >
          <Icon name="undo" />
          Undo
        </Button>
      )}
      <Button className="button quiet-button icon-only" aria-label="Close the notice" onPress={close}>
        <Icon name="close" />
      </Button>
    </div>
  );
}
