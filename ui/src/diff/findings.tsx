// Findings by what became of them: new ones, those that stay, growths that move on, those that are gone.

import { useState } from "preact/hooks";
import { count, plural } from "../format.ts";
import { Choice } from "../kinds/bits.tsx";
import { Chain } from "../parts/chain.tsx";
import { Bytes } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { Growth } from "../snapshot/findings.tsx";
import type { FindingChange, Values } from "./model.ts";

const STATUS: readonly (readonly [string, string, string])[] = [
  ["new", "new", "bad"],
  ["unchanged", "stays", "warn"],
  ["in progress", "in progress", ""],
  ["gone", "gone", "good"],
];
const SHOWN = 20;

export function Findings({ values }: { values: Values }) {
  const [status, set] = useState("all");
  const [shown, show] = useState(SHOWN);
  const known = STATUS.filter(([id]) => values.findings.some((one) => one.status === id));
  const chosen = values.findings.filter((one) => status === "all" || one.status === status);
  const rest = values.findings_rest;
  if (!values.findings.length) {
    return (
      <Part id="findings" title="Findings">
        <p>None, in neither snapshot.</p>
      </Part>
    );
  }
  return (
    <Part id="findings" title="Findings" lead="What the rules say of the new snapshot, judged with both; and what they said of the old one only.">
      <Choice
        label="Findings by what became of them"
        options={[
          ["all", `all ${count(values.findings.length)}`],
          ...known.map(([id, words]) => [id, `${words} ${count(values.findings.filter((one) => one.status === id).length)}`] as const),
        ]}
        value={status}
        change={set}
      />
      {chosen.slice(0, shown).map((one, at) => (
        <Card key={`${one.status} ${one.finding.rule} ${one.finding.subject} ${at}`} change={one} />
      ))}
      {chosen.length > shown ? (
        <button type="button" onClick={() => show(shown + 5 * SHOWN)}>
          Show {plural(Math.min(5 * SHOWN, chosen.length - shown), "more finding")}
        </button>
      ) : null}
      {rest.findings ? (
        <p class="dim">
          {plural(rest.findings, "smaller finding")} of <Bytes n={rest.bytes} /> in all: <code>-f json</code> lists them.
        </p>
      ) : null}
    </Part>
  );
}

function Card({ change }: { change: FindingChange }) {
  const { finding, status } = change;
  const [, words, tone] = STATUS.find(([id]) => id === status) ?? ["", status, ""];
  const moved = status !== "new" && status !== "gone" && change.bytes_then !== change.bytes_now;
  return (
    <article class={`card finding k-card k-is-${tone}`} data-status={status} data-rule={finding.rule} data-subject={finding.subject}>
      <header>
        <span class="rule">{finding.rule}</span>
        <h3>
          <Bytes n={status === "gone" ? change.bytes_then : change.bytes_now} class={tone} /> {finding.title}
        </h3>
        <span class={`tag k-${tone}`}>{words}</span>
        <span class={`tag sure-${finding.confidence}`}>{finding.confidence}</span>
      </header>
      <p class="subject">
        {finding.maps > 1 ? `${count(finding.maps)} maps ` : ""}
        <span class="mono">{finding.type ?? "map of unknown type"}</span> at <span class="mono">{finding.subject}</span>
        {moved ? (
          <>
            {" "}
            · was <Bytes n={change.bytes_then} />
          </>
        ) : null}
      </p>
      <Growth evidence={finding.evidence} />
      <p>
        <strong>{finding.confidence}</strong>: {finding.why}
      </p>
      <details>
        <summary>Who holds it, and what to do</summary>
        {finding.chain?.length ? <Chain steps={finding.chain} /> : <p class="dim">Who holds it is not known.</p>}
        <p>{finding.advice.text}</p>
        {finding.advice.code ? (
          <pre tabIndex={0} role="group" aria-label="Go sketch">
            <code>{finding.advice.code}</code>
          </pre>
        ) : null}
      </details>
    </article>
  );
}
