// Live objects by type.

import { useMemo } from "preact/hooks";
import { plural } from "../format.ts";
import { Bar, Bytes, Count, Share } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { Table, type TableColumn } from "../parts/table.tsx";
import type { Model } from "./model.ts";

export function Types({ model }: { model: Model }) {
  const section = model.pack.section("types");
  const rows = useMemo(() => Array.from({ length: section.rows }, (_, row) => row), [section]);
  const { types_rest: rest, heap } = model.values;
  const columns = useMemo((): TableColumn[] => {
    const number = (name: string) => (row: number) => section.col(name).number(row);
    return [
      { id: "bytes", label: "Bytes", right: true, by: number("bytes"), cell: (row) => <Bytes n={number("bytes")(row)} /> },
      {
        id: "share",
        label: "Of the heap",
        right: true,
        cell: (row) => (
          <>
            <Share of={number("bytes")(row)} whole={heap.live_bytes} /> <Bar of={number("bytes")(row)} whole={heap.live_bytes} />
          </>
        ),
      },
      { id: "objects", label: "Objects", right: true, by: number("objects"), cell: (row) => <Count n={number("objects")(row)} /> },
      { id: "kind", label: "Kind", by: (row) => section.col("kind").text(row) ?? "", cell: (row) => section.col("kind").text(row) },
      {
        id: "type",
        label: "Type",
        wide: true,
        by: (row) => section.col("type").text(row) ?? "",
        cell: (row) => (
          <span class="mono" title={section.col("type").text(row) ?? ""}>
            {section.col("type").text(row)}
          </span>
        ),
      },
    ];
  }, [section, heap]);
  return (
    <Part id="types" title="Types" lead="Live objects by the type that leads to them.">
      <Table label="Table of types" rows={rows} columns={columns} noun="type" />
      <p class="dim">
        {rest.types ? (
          <>
            {plural(rest.types, "more type")}: <Bytes n={rest.bytes} /> in <Count n={rest.objects} /> objects.{" "}
          </>
        ) : null}
        Without a known type: <Bytes n={rest.untyped_bytes} /> in <Count n={rest.untyped_objects} /> objects.
      </p>
    </Part>
  );
}
