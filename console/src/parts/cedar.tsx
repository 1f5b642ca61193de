// A Cedar text, coloured, and editable where it may be changed; what is wrong with it stands at its line.
import { useId, useMemo, useRef } from "react";

import { linesOf, type Token } from "./cedar-tokens";
import { sentence } from "./states";
import { many } from "./tags";
import "./cedar.css";

export interface CedarProblem {
  /** From 1, where it is about a line. */
  line?: number | null | undefined;
  /** Which policy, where it is about one. */
  policy?: string | null | undefined;
  message: string;
}

function Tokens({ of }: { of: readonly Token[] }) {
  return of.map((token, index) =>
    token.kind === "plain" ? (
      token.text
    ) : (
      <span key={index} className={`cedar-${token.kind}`}>
        {token.text}
      </span>
    ),
  );
}

function Lines({ text, problems }: { text: string; problems: readonly CedarProblem[] }) {
  const lines = useMemo(() => linesOf(text), [text]);
  return (
    <code>
      {lines.map((tokens, index) => {
        const wrong = problems.filter((problem) => problem.line === index + 1);
        return (
          <span key={index} className="cedar-line" data-wrong={wrong.length > 0 || undefined}>
            <Tokens of={tokens} />
            {wrong.length > 0 && <span className="cedar-said">{wrong.map((problem) => problem.message).join("; ")}</span>}
            {"\n"}
          </span>
        );
      })}
    </code>
  );
}

/** A text that is only read. */
export function CedarText({ text, name }: { text: string; name: string }) {
  return (
    <pre className="cedar cedar-read" tabIndex={0} role="region" aria-label={name}>
      <Lines text={text} problems={[]} />
    </pre>
  );
}

/** A text that is written: what the browser edits lies over what is coloured. */
export function CedarField({
  label,
  value,
  onChange,
  problems = [],
  lines = 18,
  hint,
}: {
  label: string;
  value: string;
  onChange: (text: string) => void;
  problems?: readonly CedarProblem[];
  lines?: number;
  hint?: string;
}) {
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const view = useRef<HTMLPreElement>(null);
  const follow = () => {
    if (!area.current || !view.current) return;
    view.current.scrollTop = area.current.scrollTop;
    view.current.scrollLeft = area.current.scrollLeft;
  };
  const goTo = (line: number) => {
    const field = area.current;
    if (!field) return;
    const before = value.split("\n").slice(0, line - 1);
    const at = before.reduce((length, text) => length + text.length + 1, 0);
    const end = value.indexOf("\n", at);
    field.focus();
    field.setSelectionRange(at, end < 0 ? value.length : end);
    field.scrollTop = (field.scrollHeight / Math.max(1, value.split("\n").length)) * Math.max(0, line - 4);
    follow();
  };
  return (
    <div className="cedar-field">
      <label className="cedar-label" htmlFor={id}>
        {label}
      </label>
      <div className="cedar cedar-write">
        <pre ref={view} aria-hidden="true">
          <Lines text={value} problems={problems} />
        </pre>
        <textarea
          id={id}
          ref={area}
          value={value}
          onChange={(event) => onChange(event.target.value)}
          onScroll={follow}
          rows={lines}
          wrap="off"
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          aria-invalid={problems.length > 0}
          aria-describedby={problems.length > 0 || hint ? `${id}-said` : undefined}
        />
      </div>
      <div id={`${id}-said`}>
        {hint && <p className="quiet">{hint}</p>}
        {problems.length > 0 && <Problems of={problems} goTo={goTo} />}
      </div>
    </div>
  );
}

function Problems({ of, goTo }: { of: readonly CedarProblem[]; goTo: (line: number) => void }) {
  return (
    <div className="trouble" role="alert">
      <p className="trouble-title">{many(of.length, "problem")}</p>
      <ul>
        {of.map((problem, index) => (
          <li key={index}>
            {problem.line ? (
              <button type="button" className="line-link" onClick={() => goTo(problem.line ?? 1)}>
                Line {problem.line}
              </button>
            ) : null}{" "}
            {problem.policy ? <code>{problem.policy}</code> : null} {sentence(problem.message)}
          </li>
        ))}
      </ul>
    </div>
  );
}
