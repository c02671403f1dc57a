// Small pieces that the pages of diffs, profiles and the lab share.

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { bytes, count, exactBytes } from "../format.ts";
import { Part } from "../parts/section.tsx";

/** One figure with its name. */
export interface Tile {
  readonly id: string;
  readonly name: string;
  readonly value: ComponentChildren;
  readonly more?: ComponentChildren;
}

/** The few figures that matter, large. */
export function Tiles({ tiles }: { tiles: readonly Tile[] }) {
  return (
    <dl class="k-tiles">
      {tiles.map((tile) => (
        <div key={tile.id} data-tile={tile.id}>
          <dt>{tile.name}</dt>
          <dd class="k-value">{tile.value}</dd>
          {tile.more ? <dd class="dim">{tile.more}</dd> : null}
        </div>
      ))}
    </dl>
  );
}

/** A change of bytes with its sign: more is bad, less is good. */
export function Change({ n }: { n: number }) {
  return (
    <span class={`num ${n > 0 ? "bad" : n < 0 ? "good" : "dim"}`} title={exactBytes(n)} data-value={n}>
      {signedBytes(n)}
    </span>
  );
}

/** `+4.7 MB`, `−12.0 kB`. */
export function signedBytes(size: number): string {
  return size === 0 ? "±0" : (size < 0 ? "−" : "+") + bytes(Math.abs(size));
}

/** `+12`, `−3`. */
export function signed(value: number): string {
  return value === 0 ? "±0" : (value < 0 ? "−" : "+") + count(Math.abs(value));
}

/** The last part of a path. */
export function base(path: string): string {
  return path.replace(/\/+$/, "").split("/").pop() || path;
}

/** The last parts of two paths, with as many folders as tell them apart. */
export function apart(one: string, other: string): [string, string] {
  const [a, b] = [one, other].map((path) => path.replace(/\/+$/, "").split("/")) as [string[], string[]];
  let parts = 1;
  while (parts < Math.max(a.length, b.length) && a.slice(-parts).join("/") === b.slice(-parts).join("/")) parts++;
  return one === other ? [base(one), base(other)] : [a.slice(-parts).join("/"), b.slice(-parts).join("/")];
}

/** `main.go:94`; empty where no file is known. */
export function place(file: string | null, line: number): string {
  return file ? `${base(file)}:${line}` : "";
}

/** Facts by name. */
export function Facts({ rows }: { rows: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** One of several choices, as a row of buttons. */
export function Choice<T extends string>({
  label,
  options,
  value,
  change,
}: {
  label: string;
  options: readonly (readonly [T, string])[];
  value: T;
  change: (next: T) => void;
}) {
  return (
    <div class="k-choice" role="group" aria-label={label}>
      {options.map(([id, words]) => (
        <button key={id} type="button" aria-pressed={id === value} onClick={() => change(id)} data-choice={id}>
          {words}
        </button>
      ))}
    </div>
  );
}

/** How sure something is: exact, inferred or possible. */
export function Told({ how }: { how: string }) {
  return <span class={`tag sure-${how}`}>{how}</span>;
}

/** A word with a colour: good, bad or warn. */
export function Mark({ tone, children }: { tone: string; children: ComponentChildren }) {
  return <span class={`tag k-${tone}`}>{children}</span>;
}

/** Sentences that are worth reading, and commands worth running. */
export function Remarks({ notes, next }: { notes: readonly string[]; next: readonly string[] }) {
  if (!notes.length && !next.length) return null;
  return (
    <Part id="remarks" title="Remarks and what next">
      {notes.length ? (
        <ul>
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      ) : null}
      {next.length ? (
        <>
          <p>Commands worth running now:</p>
          <pre tabIndex={0} role="group" aria-label="Commands">
            <code>{next.join("\n")}</code>
          </pre>
        </>
      ) : null}
    </Part>
  );
}

/** Scrolls to the part that the hash names when the page has just been drawn; later the browser does it. */
export function useAnchors(): void {
  useEffect(() => {
    const name = location.hash.slice(1);
    if (name) document.getElementById(name)?.scrollIntoView();
  }, []);
}
