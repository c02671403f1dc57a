// The stack of a goroutine, innermost function first.

import type { Frame } from "../snapshot/model.ts";

export function Stack({ frames, leftOut = 0 }: { frames: readonly Frame[]; leftOut?: number }) {
  if (!frames.length) return <p class="dim">No frames are known.</p>;
  return (
    <ol class="stack">
      {frames.map((frame, at) => (
        <li key={at}>
          <span class="mono">{frame.function}</span>
          {frame.inlined ? <span class="tag">inlined</span> : null}
          <span class="mono dim place">
            {frame.file}:{frame.line}
          </span>
        </li>
      ))}
      {leftOut ? <li class="dim">and {leftOut} more</li> : null}
    </ol>
  );
}
