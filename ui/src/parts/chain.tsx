// A chain as a drawn path: boxes from the root to the object, the field that leads on between them.

import type { Step } from "../snapshot/model.ts";

const WORDS: Record<string, string> = {
  global: "variable",
  goroutine: "stack",
  map: "map on a stack",
  iterator: "iterator",
  object: "object",
  skipped: "left out",
};

export function Chain({ steps, onMap }: { steps: readonly Step[]; onMap?: (address: string) => boolean }) {
  return (
    <ol class="chain" aria-label="Held by, from the root on">
      {steps.map((step, at) => (
        <li key={at} class={`step step-${step.kind}`}>
          <span class="step-box">
            <span class="step-kind">{WORDS[step.kind] ?? step.kind}</span>
            <span class="step-label">{step.label}</span>
            {step.address ? (
              onMap?.(step.address) ? (
                <a class="mono step-address" href={`#map/${step.address}`}>
                  {step.address}
                </a>
              ) : (
                <span class="mono step-address">{step.address}</span>
              )
            ) : null}
          </span>
          {step.field ? <span class="step-field mono">{step.field}</span> : null}
        </li>
      ))}
    </ol>
  );
}
