// The top of every page: what wrote it, where it leads, the colour scheme.

import type { Pack } from "../pack.ts";
import { SchemeButton } from "./scheme.tsx";

/** Links to the parts of a page: [id, words]. */
export type Links = readonly (readonly [string, string])[];

/** Moves the reader's place, and not the hash, which says what is shown. */
function toMain(event: Event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

export function Masthead({ title, pack, links }: { title: string; pack: Pack; links: Links }) {
  return (
    <header class="masthead">
      <a class="skip" href="#main" onClick={toMain}>
        Skip to the report
      </a>
      <div class="brand">
        <strong>mapscope</strong> <span class="dim">{pack.tool.version}</span> <span>{title}</span>
      </div>
      <nav aria-label="Parts of the report">
        {links.map(([id, words]) => (
          <a key={id} href={`#${id}`}>
            {words}
          </a>
        ))}
      </nav>
      <SchemeButton />
    </header>
  );
}
