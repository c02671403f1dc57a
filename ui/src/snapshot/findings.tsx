// A card per finding: how much, what, who holds it, how sure, what proves it, what to do.

import { useState } from "preact/hooks";
import { bytes, count, plural } from "../format.ts";
import { Chain } from "../parts/chain.tsx";
import { Bytes } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { Stack } from "../parts/stack.tsx";
import { usePrinting } from "../parts/printing.ts";
import type { Route } from "../route.ts";
import type { Finding, Model } from "./model.ts";

const SHOWN = 20;

export function Findings({ model, route }: { model: Model; route: Route }) {
  const [shown, show] = useState(SHOWN);
  const printing = usePrinting();
  const { findings, findings_rest: rest } = model.values;
  const wanted = route.path[0] === "findings" ? (route.query.get("rule") ?? "").split(",").filter(Boolean) : [];
  const fits = (one: Finding) => !wanted.length || wanted.includes(one.rule);
  const main = findings.filter((one) => !one.part_of || wanted.includes(one.rule)).filter(fits);
  const also = (one: Finding) => findings.filter((other) => other.part_of === one.rule && other.subject === one.subject);
  const rules = Object.keys(model.values.verdict.rules);
  const cards = printing ? main : main.slice(0, shown);
  if (!findings.length) {
    return (
      <Part id="findings" title="Findings">
        <p>None. Every map was held against every rule.</p>
      </Part>
    );
  }
  return (
    <Part id="findings" title="Findings">
      <nav class="chips" aria-label="Findings of one rule">
        <a href="#findings" aria-current={wanted.length ? undefined : "true"}>
          all
        </a>
        {rules.map((rule) => (
          <a key={rule} href={`#findings?rule=${rule}`} aria-current={wanted.includes(rule) ? "true" : undefined}>
            {rule} <span class="dim">{model.values.verdict.rules[rule]?.findings}</span>
          </a>
        ))}
      </nav>
      {cards.map((one) => (
        <Card key={`${one.rule} ${one.subject}`} finding={one} also={also(one)} model={model} />
      ))}
      {main.length ? null : <p>No finding of {wanted.join(", ")}.</p>}
      {cards.length < main.length ? (
        <button type="button" onClick={() => show(shown + 5 * SHOWN)}>
          Show {plural(Math.min(main.length - cards.length, 5 * SHOWN), "more finding")}
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

function Card({ finding, also, model }: { finding: Finding; also: readonly Finding[]; model: Model }) {
  const known = (address: string) => model.rowOf(address) >= 0;
  const group = finding.group === null ? undefined : model.values.goroutines.groups[finding.group];
  return (
    <article class="card finding" data-rule={finding.rule} data-subject={finding.subject}>
      <header>
        <span class="rule">{finding.rule}</span>
        <h3>
          <Bytes n={finding.bytes} class="bad" /> {finding.title}
        </h3>
        <span class={`tag sure-${finding.confidence}`}>{finding.confidence}</span>
      </header>
      <p class="subject">
        {finding.maps > 1 ? `${count(finding.maps)} maps ` : ""}
        <span class="mono">{finding.type ?? "map of unknown type"}</span>
        {finding.maps > 1 ? ", the largest at " : " at "}
        <MapLink address={finding.subject} model={model} />
        {finding.retained_bytes === null ? null : (
          <>
            {" "}
            · retains <Bytes n={finding.retained_bytes} />
          </>
        )}
        {finding.part_of ? <> · part of the bytes of {finding.part_of}</> : null}
      </p>
      <Growth evidence={finding.evidence} />
      {finding.chain?.length ? (
        <>
          <h4>Held by</h4>
          <Chain steps={finding.chain} onMap={known} />
        </>
      ) : null}
      {group ? (
        <details>
          <summary>
            Stack of goroutine {finding.goroutine}: {group.status}
            {group.wait_reason ? `, ${group.wait_reason}` : ""}
          </summary>
          <Stack frames={group.frames} leftOut={group.frames_left_out} />
        </details>
      ) : null}
      <h4>How sure, and why</h4>
      <p>
        <strong>{finding.confidence}</strong>: {finding.why}
      </p>
      <Evidence evidence={finding.evidence} />
      <h4>What to do</h4>
      <p>{finding.advice.text}</p>
      {finding.advice.code ? (
        <pre tabIndex={0} role="group" aria-label="Go sketch">
          <code>{finding.advice.code}</code>
        </pre>
      ) : null}
      {also.map((other) => (
        <div key={other.rule} class="also">
          <p>
            also <span class="rule">{other.rule}</span> <Bytes n={other.bytes} /> of the same bytes: {other.title}.
          </p>
          <p>{other.advice.text}</p>
        </div>
      ))}
    </article>
  );
}

export function MapLink({ address, model }: { address: string; model: Model }) {
  if (model.rowOf(address) < 0) return <span class="mono">{address}</span>;
  return (
    <a class="mono" href={`#map/${address}`}>
      {address}
    </a>
  );
}

/** How far a growth has come: old buckets that are evacuated. */
export function Growth({ evidence }: { evidence: Record<string, number | string> }) {
  const of = Number(evidence["noldbuckets"] ?? 0);
  const done = Number(evidence["nevacuate"] ?? 0);
  if (!(of > 0)) return null;
  return (
    <p class="growth">
      <span>
        Growth: nevacuate {count(done)} of {count(of)} old buckets
      </span>
      <meter min={0} max={of} value={Math.min(done, of)} aria-label={`${count(done)} of ${count(of)} old buckets evacuated`} />
    </p>
  );
}

function Evidence({ evidence }: { evidence: Record<string, number | string> }) {
  const rows = Object.entries(evidence);
  if (!rows.length) return null;
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt class="mono">{name}</dt>
          <dd class={typeof value === "string" ? "" : "num"} title={typeof value === "number" ? count(value) : undefined}>
            {typeof value === "number" ? (name.endsWith("bytes") ? bytes(value) : count(value)) : value}
          </dd>
        </div>
      ))}
    </dl>
  );
}
