// A growth of the model of a release, write by write.

import { useState } from "preact/hooks";
import { bytes, count } from "../format.ts";
import { Choice, Facts } from "../kinds/bits.tsx";
import { Bar, Bytes } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import type { Growth, Step } from "./model.ts";

export function Growths({ growths }: { growths: readonly Growth[] }) {
  const [release, set] = useState(growths[0]?.release ?? "");
  const chosen = growths.find((one) => one.release === release);
  if (!chosen) return null;
  return (
    <Part
      id="growth"
      title="A growth, step by step"
      lead="The executable model of the release, whose state after every operation is the runtime's. Reads and loops move nothing: only writes do."
    >
      {growths.length > 1 ? (
        <Choice label="Model of" options={growths.map((one) => [one.release, `Go ${one.release}`] as const)} value={release} change={set} />
      ) : null}
      <Steps key={release} growth={chosen} />
    </Part>
  );
}

function Steps({ growth }: { growth: Growth }) {
  const [at, set] = useState(0);
  const { steps } = growth;
  const last = steps.length - 1;
  const step = steps[at] as Step;
  const most = Math.max(...steps.map((one) => one.bytes));
  return (
    <div class="card k-grid" data-growth={growth.release}>
      <div class="k-slide">
        <button type="button" onClick={() => set(at - 1)} disabled={at === 0}>
          Back
        </button>
        <input type="range" min={0} max={last} value={at} aria-label="Step" onInput={(event) => set(Number(event.currentTarget.value))} />
        <button type="button" onClick={() => set(at + 1)} disabled={at === last}>
          Next
        </button>
      </div>
      <p aria-live="polite" class="k-step">
        <strong>
          {at + 1} of {steps.length}: <span class="mono">{step.said}</span>
        </strong>
      </p>
      <Facts
        rows={[
          ...Object.entries(step.facts).map(([name, value]) => [name, <span class="num" data-fact={name} data-value={value}>{count(value)}</span>] as const),
          ["bytes", <Bytes n={step.bytes} />],
          ...(growth.swiss ? [] : [["of them old", <Bytes n={step.old_bytes} />] as const]),
        ]}
      />
      <p class="k-meter" aria-hidden="true">
        <Bar of={step.bytes} whole={most} /> <span class="dim">at most {bytes(most)}</span>
      </p>
      {growth.swiss ? <Tables step={step} /> : <Buckets step={step} />}
    </div>
  );
}

function Buckets({ step }: { step: Step }) {
  const waits = step.old.filter((one) => one >= 0).length;
  return (
    <>
      {step.old.length ? (
        <>
          <h3 class="k-small">
            oldbuckets: {count(step.old.length)}, {count(waits)} still to be evacuated
          </h3>
          <div class="k-cells" role="img" aria-label={`Old buckets: ${waits} of ${step.old.length} wait`}>
            {step.old.map((entries, at) => (
              <span key={at} class={entries < 0 ? "k-moved" : "k-waits"} title={entries < 0 ? `old bucket ${at}: evacuated` : `old bucket ${at}: ${entries} entries`} />
            ))}
          </div>
        </>
      ) : null}
      <h3 class="k-small">buckets: {count(step.cells.length)}</h3>
      <div class="k-cells" role="img" aria-label={`Buckets: ${step.cells.filter((one) => one > 0).length} of ${step.cells.length} hold entries`}>
        {step.cells.map((entries, at) => (
          <span key={at} class={entries > 0 ? "k-holds" : "k-free"} title={`bucket ${at}: ${entries} entries`} />
        ))}
      </div>
      <ul class="legend steps">
        <li>
          <span class="swatch k-waits" aria-hidden="true" /> old bucket with entries
        </li>
        <li>
          <span class="swatch k-moved" aria-hidden="true" /> evacuated
        </li>
        <li>
          <span class="swatch k-holds" aria-hidden="true" /> bucket with entries
        </li>
        <li>
          <span class="swatch k-free" aria-hidden="true" /> empty
        </li>
      </ul>
    </>
  );
}

function Tables({ step }: { step: Step }) {
  return (
    <table class="plain">
      <caption>{step.slots.length === 1 && step.slots[0] === 8 ? "one group, no table" : "tables"}</caption>
      <tbody>
        {step.cells.map((used, at) => (
          <tr key={at}>
            <th scope="row">{at + 1}</th>
            <td class="num">
              {count(used)} of {count(step.slots[at] ?? 0)} slots
            </td>
            <td>
              <Bar of={used} whole={step.slots[at] ?? 1} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
