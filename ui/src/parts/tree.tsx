// A tree as rows that open and close: the text beside every picture of one.

import { useState } from "preact/hooks";
import { plural } from "../format.ts";
import { Bar, Bytes, Share } from "./numbers.tsx";

/** A tree whose nodes are numbers; 0 is its root. */
export interface Tree {
  readonly children: (node: number) => readonly number[];
  readonly label: (node: number) => string;
  readonly bytes: (node: number) => number;
  /** A second number in bytes, by the name in `TreeTable`. */
  readonly second: (node: number) => number;
  /** Where a leaf leads, if anywhere. */
  readonly href?: (node: number) => string | null;
}

const SHOWN = 30;

export function TreeTable({ tree, label, second }: { tree: Tree; label: string; second: string }) {
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set([0]));
  const [more, setMore] = useState<ReadonlySet<number>>(new Set());
  const rows = visible(tree, open, more);
  const whole = tree.bytes(0);
  const toggle = (set: ReadonlySet<number>, node: number) => {
    const next = new Set(set);
    if (!next.delete(node)) next.add(node);
    return next;
  };
  return (
    <div class="table-box tree-box" tabIndex={0} role="region" aria-label={label}>
      <table class="tree">
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col" class="right">
              Bytes
            </th>
            <th scope="col" class="right">
              Share
            </th>
            <th scope="col" class="right">
              {second}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ node, level, hidden }) =>
            hidden ? (
              <tr key={`more ${node}`}>
                <td colSpan={4} class="wide">
                  <span style={{ paddingLeft: `${level * 16}px` }}>
                    <button type="button" class="quiet" onClick={() => setMore(toggle(more, node))}>
                      {plural(hidden, "more row")}
                    </button>
                  </span>
                </td>
              </tr>
            ) : (
              <tr key={node}>
                <th scope="row" class="wide">
                  <span class="tree-label" style={{ paddingLeft: `${level * 16}px` }}>
                    {tree.children(node).length ? (
                      <button
                        type="button"
                        class="twist"
                        aria-expanded={open.has(node)}
                        aria-label={`${open.has(node) ? "Close" : "Open"} ${tree.label(node)}`}
                        onClick={() => setOpen(toggle(open, node))}
                      >
                        <span aria-hidden="true">{open.has(node) ? "▾" : "▸"}</span>
                      </button>
                    ) : (
                      <span class="twist" />
                    )}
                    <Leaf tree={tree} node={node} />
                  </span>
                </th>
                <td class="right">
                  <Bytes n={tree.bytes(node)} />
                </td>
                <td class="right">
                  <Bar of={tree.bytes(node)} whole={whole} /> <Share of={tree.bytes(node)} whole={whole} />
                </td>
                <td class="right">
                  <Bytes n={tree.second(node)} />
                </td>
              </tr>
            ),
          )}
        </tbody>
      </table>
    </div>
  );
}

function Leaf({ tree, node }: { tree: Tree; node: number }) {
  const href = tree.href?.(node);
  return href ? <a href={href}>{tree.label(node)}</a> : <span>{tree.label(node)}</span>;
}

interface Row {
  node: number;
  level: number;
  hidden: number;
}

/** The rows in their order, without recursion: a tree of the evidence may be deep. */
function visible(tree: Tree, open: ReadonlySet<number>, more: ReadonlySet<number>): Row[] {
  const rows: Row[] = [];
  const work: Row[] = [{ node: 0, level: 0, hidden: 0 }];
  for (let next = work.pop(); next; next = work.pop()) {
    rows.push(next);
    if (next.hidden || !open.has(next.node)) continue;
    const children = tree.children(next.node);
    const shown = more.has(next.node) ? children : children.slice(0, SHOWN);
    const level = next.level + 1;
    if (shown.length < children.length) work.push({ node: next.node, level, hidden: children.length - shown.length });
    for (let at = shown.length - 1; at >= 0; at--) work.push({ node: shown[at] ?? 0, level, hidden: 0 });
  }
  return rows;
}
