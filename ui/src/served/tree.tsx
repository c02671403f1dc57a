// The dominator tree, floor by floor: each is asked for when it is opened.

import { useState } from "preact/hooks";
import { count, percent } from "../format.ts";
import { useAnswer } from "./asked.ts";
import { Answer, Size, StepWords } from "./parts.tsx";
import type { Branch, ServedSource } from "./source.ts";

/** The whole heap, to be opened. */
export function Tree({ source }: { source: ServedSource }) {
  return (
    <section id="keeps" class="asked-panel" aria-labelledby="keeps-head">
      <h2 id="keeps-head">What keeps what</h2>
      <p class="dim">Each line keeps those below it alone: without it they would be free.</p>
      <Floor source={source} node={0} />
    </section>
  );
}

function Floor({ source, node }: { source: ServedSource; node: number }) {
  const asked = useAnswer<Branch>(source, `api/dominators?node=${node}`);
  return (
    <Answer asked={asked}>
      {(branch) => (
        <ul class="asked-tree">
          {branch.rows.map((row) => (
            <Row key={row.node} source={source} row={row} whole={branch.retained_bytes} />
          ))}
          {branch.children > branch.rows.length ? (
            <li class="dim">
              and {count(branch.children - branch.rows.length)} more of <Size of={branch.rest_bytes} />
            </li>
          ) : null}
        </ul>
      )}
    </Answer>
  );
}

function Row({ source, row, whole }: { source: ServedSource; row: Branch["rows"][number]; whole: number }) {
  const [open, set] = useState(false);
  return (
    <li>
      {row.below ? (
        <button type="button" class="quiet" aria-expanded={open} aria-label={`Below ${row.step.name ?? row.step.address ?? "it"}`} onClick={() => set(!open)}>
          {open ? "−" : "+"}
        </button>
      ) : null}{" "}
      <Size of={row.retained_bytes} /> <span class="dim">{percent(row.retained_bytes, whole)}</span> <StepWords step={row.step} />
      {open ? <Floor source={source} node={row.node} /> : null}
    </li>
  );
}
