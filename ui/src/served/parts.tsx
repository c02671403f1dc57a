// Parts that several panels share: what stands while an answer is on its way, steps, addresses.

import type { ComponentChildren } from "preact";
import { bytes, exactBytes } from "../format.ts";
import type { Asked } from "./asked.ts";
import type { Step } from "./source.ts";

/** What a question is at: words while it waits or was refused, the answer's view when it is there. */
export function Answer<T>({ asked, children }: { asked: Asked<T>; children: (answer: T) => ComponentChildren }) {
  switch (asked.state) {
    case "none":
      return null;
    case "waiting":
      if (asked.before !== null) {
        return (
          <div aria-busy="true" class="asked-busy">
            {children(asked.before)}
          </div>
        );
      }
      return (
        <p class="dim" role="status">
          The server is looking …
        </p>
      );
    case "refused":
      return (
        <p class="refused" role="alert">
          {asked.words}
        </p>
      );
    case "there":
      return <>{children(asked.answer)}</>;
  }
}

/** A size, in full for whoever points at it. */
export function Size({ of }: { of: number }) {
  return <span title={exactBytes(of)}>{bytes(of)}</span>;
}

/** An address that asks for itself. */
export function AddressLink({ at }: { at: string }) {
  return (
    <a href={`#ask/${at}`}>
      <code>{at}</code>
    </a>
  );
}

/** One step of a chain. */
export function StepWords({ step }: { step: Step }) {
  const named = step.name ?? step.type ?? "object of unknown type";
  return (
    <>
      <span class="dim">{step.kind === "object" ? "" : `${step.kind} `}</span>
      <code>{named}</code>
      {step.field ? <code> {step.field}</code> : null}
      {step.name && step.type ? <span class="dim"> {step.type}</span> : null}
      {step.address ? (
        <>
          {" "}
          <AddressLink at={step.address} />
        </>
      ) : null}
    </>
  );
}
