// The verdict: the heap as one bar, the numbers that matter, and where the resident memory went.

import { bytes, count, percent, plural } from "../format.ts";
import { Bar, Bytes, Share } from "../parts/numbers.tsx";
import type { Model, Part } from "./model.ts";

export function Verdict({ model }: { model: Model }) {
  const { verdict, heap, evidence, process, parts } = model.values;
  const name = evidence.path.split("/").pop() || evidence.path;
  const build = process.stripped ? "stripped" : process.has_dwarf ? "with DWARF" : "with symbols";
  const worst = Object.entries(verdict.rules)
    .filter(([, sum]) => sum.bytes > 0)
    .sort((a, b) => b[1].bytes - a[1].bytes);
  const counted = model.values.findings.filter((one) => !one.part_of).length + model.values.findings_rest.findings;
  return (
    <section id="verdict" class="verdict" aria-labelledby="verdict-title">
      <p class="about">
        {evidence.kind} <strong>{name}</strong>, {bytes(evidence.size_bytes)} · {process.go_version} {process.arch}
        {process.pid === null ? "" : `, pid ${process.pid}`}, {build}
        {evidence.redacted ? " · redacted: contents read as zeros" : ""}
      </p>
      <h1 id="verdict-title">
        {verdict.findings ? (
          <>
            <Bytes n={verdict.waste_bytes} class="bad" /> held for nothing
          </>
        ) : (
          <span class="good">No findings</span>
        )}
      </h1>
      <p class="lead">
        {plural(verdict.maps, "map")} hold <Bytes n={verdict.map_bytes} />
        {heap.live_bytes ? <>, {percent(verdict.map_bytes, heap.live_bytes)} of the live heap</> : null}.{" "}
        {verdict.findings ? (
          <>
            {plural(counted, "finding")}:{" "}
            {worst.map(([rule, sum], at) => (
              <>
                {at ? ", " : ""}
                <a key={rule} href={`#findings?rule=${rule}`}>
                  {rule} {bytes(sum.bytes)}
                </a>
              </>
            ))}
            .{" "}
            {verdict.possible_waste_bytes ? (
              <>
                <Bytes n={verdict.possible_waste_bytes} /> of it only possibly: one snapshot shows a state, not how long it
                lasts.
              </>
            ) : null}
          </>
        ) : (
          <>No map holds memory that it clearly should not.</>
        )}
      </p>
      <StackedBar parts={parts} whole={heap.live_bytes} />
      <Memory model={model} />
    </section>
  );
}

function StackedBar({ parts, whole }: { parts: readonly Part[]; whole: number }) {
  return (
    <figure class="stacked" aria-label="The live heap in parts">
      <div class="stacked-bar">
        {parts
          .filter((part) => part.bytes > 0)
          .map((part) => (
            <a
              key={part.id}
              href={`#${part.leads}`}
              class={`fill-${part.id}`}
              style={{ flexGrow: part.bytes / Math.max(whole, 1) }}
              title={`${part.label}: ${bytes(part.bytes)}, ${percent(part.bytes, whole)}`}
              aria-label={`${part.label}: ${bytes(part.bytes)}, ${percent(part.bytes, whole)}`}
            />
          ))}
      </div>
      <figcaption>
        <ul class="legend">
          {parts.map((part) => (
            <li key={part.id}>
              <a href={`#${part.leads}`} data-part={part.id}>
                <span class={`swatch fill-${part.id}`} aria-hidden="true" />
                <span class="legend-name">{part.label}</span> <Bytes n={part.bytes} /> <Share of={part.bytes} whole={whole} />
              </a>
              <span class="why">{part.why}</span>
            </li>
          ))}
        </ul>
        <p class="dim">
          Live heap: <Bytes n={whole} />, the sum of these.
        </p>
      </figcaption>
    </figure>
  );
}

const PARTS: readonly (readonly [string, string, string])[] = [
  ["live", "live_bytes", "objects that something reaches"],
  ["dead", "dead_bytes", "garbage and free slots"],
  ["free spans", "free_span_bytes", "heap pages without objects"],
  ["stacks", "stack_bytes", "goroutine stacks"],
  ["runtime", "runtime_bytes", "the runtime's own tables"],
  ["outside Go", "outside_go_bytes", "code, data, C libraries"],
  ["unexplained", "unexplained_bytes", ""],
];

function Memory({ model }: { model: Model }) {
  const { heap } = model.values;
  const sums = heap.reconciliation;
  const rows: (readonly [string, number, string])[] = sums
    ? PARTS.map(([label, name, why]) => [label, sums[name] ?? 0, why] as const)
    : [
        ["live", heap.live_bytes, "objects that something reaches"],
        ["dead", heap.dead_bytes, "garbage"],
      ];
  const whole = sums ? (sums["rss_bytes"] ?? 0) : heap.live_bytes + heap.dead_bytes;
  return (
    <details class="memory">
      <summary>
        Where the memory is: <Bytes n={whole} /> {sums ? "resident" : "live and dead"}
      </summary>
      <table class="plain">
        <tbody>
          {rows.map(([label, size, why]) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              <td class="right">
                <Bytes n={size} />
              </td>
              <td class="right">
                <Share of={size} whole={whole} />
              </td>
              <td class="bar-cell">
                <Bar of={size} whole={whole} />
              </td>
              <td class="dim">{why}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="dim">
        mapscope counts <Bytes n={heap.live_bytes} /> live in {count(heap.live_objects)} objects.{" "}
        {heap.runtime ? (
          <>
            The runtime counts <Bytes n={heap.runtime["heap_alloc_bytes"] ?? 0} /> in {count(heap.runtime["heap_objects"] ?? 0)}{" "}
            objects, garbage not yet swept included, after {plural(heap.runtime["num_gc"] ?? 0, "collection")}.
          </>
        ) : (
          "The runtime's own figures are not in this evidence."
        )}
      </p>
    </details>
  );
}
