// Claims of the article: judged anew by experiments, or as the ledger has them.

import { useMemo, useState } from "preact/hooks";
import { count } from "../format.ts";
import { Choice, Facts, Mark } from "../kinds/bits.tsx";
import { type Field, Grid } from "../kinds/grid.tsx";
import { Part } from "../parts/section.tsx";
import { type Judgement, type LabValues, type LedgerClaim, VERDICTS } from "./model.ts";

const RESULTS: Record<string, string> = {
  confirmed: "good",
  refuted: "bad",
  "in part": "warn",
  changed: "bad",
  "no evidence": "bad",
};

export function Judgements({ values }: { values: LabValues }) {
  const rows = values.judgements ?? [];
  const [only, set] = useState<"all" | "changed">("all");
  const of = (row: number) => rows[row] as Judgement;
  const changed = rows.filter((one) => !one.stands).length;
  const all = useMemo(() => rows.map((_, row) => row).filter((row) => only === "all" || !of(row).stands), [rows, only]);
  const fields = useMemo<Field[]>(
    () => [
      { id: "id", head: "claim", numeric: true, order: (row) => -of(row).claim, cell: (row) => of(row).claim },
      { id: "go", head: "Go", order: (row) => of(row).go, cell: (row) => of(row).go },
      {
        id: "result",
        head: "result",
        order: (row) => of(row).result,
        cell: (row) => (
          <>
            <Mark tone={RESULTS[of(row).result] ?? ""}>{of(row).result}</Mark> {of(row).stands ? null : <strong class="bad">!</strong>}
          </>
        ),
      },
      {
        id: "text",
        head: "what the article says, and what was measured",
        wide: true,
        order: (row) => of(row).text,
        cell: (row) => (
          <>
            {of(row).text} <span class="dim">§{of(row).section}</span>
            <span class="dim k-below">{of(row).evidence}</span>
          </>
        ),
      },
      { id: "settled", head: "settled by", order: (row) => of(row).settled_by, cell: (row) => of(row).settled_by },
    ],
    [rows],
  );
  return (
    <Part id="claims" title="Claims">
      {changed ? (
        <Choice
          label="Which claims"
          options={[
            ["all", `all ${count(rows.length)}`],
            ["changed", `not as the ledger says ${count(changed)}`],
          ]}
          value={only}
          change={set}
        />
      ) : null}
      <Grid
        id="judged"
        label="Claims judged anew"
        rows={all}
        fields={fields}
        sort="id"
        text={(row) => `${of(row).claim} ${of(row).text} ${of(row).evidence} ${of(row).settled_by} §${of(row).section}`}
        filters={[
          { id: "result", label: "Result", of: (row) => of(row).result },
          { id: "go", label: "Release", of: (row) => of(row).go },
        ]}
        keys={(row) => `${of(row).claim}-${of(row).go}`}
      />
    </Part>
  );
}

export function Ledger({ values }: { values: LabValues }) {
  const rows = values.ledger ?? [];
  const of = (row: number) => rows[row] as LedgerClaim;
  const all = useMemo(() => rows.map((_, row) => row), [rows]);
  const fields = useMemo<Field[]>(
    () => [
      { id: "id", head: "claim", numeric: true, order: (row) => -of(row).id, cell: (row) => of(row).id },
      ...(["classic", "swiss"] as const).map(
        (family): Field => ({
          id: family,
          head: family === "classic" ? "classic maps" : "Swiss maps",
          order: (row) => of(row)[family],
          cell: (row) => <Mark tone={VERDICTS[of(row)[family]] ?? ""}>{of(row)[family]}</Mark>,
        }),
      ),
      {
        id: "text",
        head: "what the article says, and what is true",
        wide: true,
        order: (row) => of(row).claim,
        cell: (row) => (
          <>
            {of(row).left_out ? <strong>left out by the article: </strong> : null}
            {of(row).claim} <span class="dim">§{of(row).section}</span>
            <span class="dim k-below">{of(row).why}</span>
          </>
        ),
      },
      { id: "settled", head: "settled by", order: (row) => of(row).settled_by, cell: (row) => `${of(row).settled_by} ${of(row).settled ?? ""}` },
    ],
    [rows],
  );
  return (
    <Part id="claims" title="Claims" lead="What the article says, and what is true of it for classic maps (up to Go 1.23) and for Swiss maps (Go 1.24 on).">
      <Grid
        id="ledger"
        label="The ledger"
        rows={all}
        fields={fields}
        sort="id"
        text={(row) => `${of(row).id} ${of(row).claim} ${of(row).why} ${of(row).why_swiss} §${of(row).section} ${of(row).settled ?? ""}`}
        filters={[
          { id: "classic", label: "Classic", of: (row) => of(row).classic },
          { id: "swiss", label: "Swiss", of: (row) => of(row).swiss },
          { id: "settled", label: "Settled by", of: (row) => of(row).settled_by },
        ]}
        keys={(row) => String(of(row).id)}
        details={(row) => {
          const one = of(row);
          return (
            <>
              <Facts
                rows={[
                  [`classic maps: ${one.classic}`, one.why],
                  ...(one.why_swiss !== one.why ? [[`Swiss maps: ${one.swiss}`, one.why_swiss] as const] : []),
                  ...Object.entries(one.exceptions).map(([go, verdict]) => [`Go ${go}`, verdict] as const),
                ]}
              />
              <h3 class="k-small">In Go's source</h3>
              <ul>
                {one.source.map((place, at) => (
                  <li key={at}>
                    <span class="mono">
                      {place.file}: {place.name}
                    </span>{" "}
                    <span class="dim">
                      Go {place.first}
                      {place.last === null ? " on" : place.last === place.first ? "" : ` to ${place.last}`}
                    </span>
                  </li>
                ))}
              </ul>
            </>
          );
        }}
      />
    </Part>
  );
}
