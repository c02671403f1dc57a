// A part of the page, with its heading and an anchor.

import type { ComponentChildren } from "preact";

export function Part({ id, title, lead, children }: { id: string; title: string; lead?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section id={id} aria-labelledby={`${id}-title`} class="part">
      <h2 id={`${id}-title`} tabIndex={-1}>
        {title}
      </h2>
      {lead ? <p class="lead">{lead}</p> : null}
      {children}
    </section>
  );
}

/** A control with its label above it. */
export function Field({ id, label, children }: { id: string; label: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
    </div>
  );
}
