// The one table of the console. On a narrow screen each row becomes a card, with the names of its cells where these do
// not speak for themselves.
import type { ReactNode } from "react";
import type { UseQueryResult } from "@tanstack/react-query";

import { Pager, type Parts } from "./pager";
import { Loaded } from "./states";

export interface Column<T> {
  /** Its heading; of acts and boxes only for who listens. */
  name: string;
  cell: (item: T) => ReactNode;
  /** What stands before the cell on a card: `true` is the heading. */
  label?: true | string;
  kind?: "number" | "wide" | "nowrap" | "act" | "box";
  /** In place of the heading. */
  head?: ReactNode;
}

const CLASSES = { number: "number", wide: "wide-cell", nowrap: "nowrap", act: "row-act", box: "pick" } as const;

interface TableProps<T> {
  caption: string;
  items: readonly T[];
  id: (item: T) => string | number;
  /** The first that is no box names the row. One that is false is left out. */
  columns: readonly (Column<T> | false)[];
  /** Whether it is narrow enough to stay a table on any screen. */
  isNarrow?: boolean;
}

export function Table<T>({ caption, items, id, columns, isNarrow = false }: TableProps<T>) {
  const shown = columns.filter((column) => column !== false);
  const naming = shown.find((column) => column.kind !== "box");
  return (
    <div className="table-frame">
      <table className={isNarrow ? undefined : "cards"}>
        <caption className="hidden">{caption}</caption>
        <thead>
          <tr>
            {shown.map((column) => (
              <th key={column.name} scope="col" className={headClass(column)}>
                {column.kind === "act" || column.kind === "box" ? <span className="hidden">{column.name}</span> : column.name}
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={id(item)}>
              {shown.map((column) =>
                column === naming ? (
                  <th key={column.name} scope="row" className={column.kind && CLASSES[column.kind]}>
                    {column.cell(item)}
                  </th>
                ) : (
                  <td
                    key={column.name}
                    className={column.kind && CLASSES[column.kind]}
                    data-name={column.label === true ? column.name : column.label}
                  >
                    {column.cell(item)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function headClass<T>({ kind }: Column<T>): string | undefined {
  return kind === "number" || kind === "box" ? CLASSES[kind] : undefined;
}

/** A list that comes in parts: awaited, failed, empty, or a table with its pager. */
export function Listing<T>({
  parts,
  what,
  empty,
  ...table
}: Omit<TableProps<T>, "items"> & {
  parts: Parts<T>;
  /** What is being done while it is awaited. */
  what: string;
  /** What stands there when there is nothing. */
  empty: ReactNode;
}) {
  return (
    <>
      <Listed query={parts.query} what={what} empty={empty} {...table} />
      <Pager parts={parts} />
    </>
  );
}

/** A list that comes whole. */
export function Listed<T>({
  query,
  what,
  empty,
  ...table
}: Omit<TableProps<T>, "items"> & {
  query: UseQueryResult<{ readonly items: readonly T[] }>;
  what: string;
  empty: ReactNode;
}) {
  return (
    <Loaded query={query} what={what}>
      {({ items }) => (items.length === 0 ? empty : <Table items={items} {...table} />)}
    </Loaded>
  );
}
