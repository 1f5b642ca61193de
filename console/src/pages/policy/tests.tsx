import { useMutation } from "@tanstack/react-query";
import { Button } from "react-aria-components";

import { send, type Schemas } from "../../api/client";
import { Field } from "../../parts/fields";
import { Empty, Trouble } from "../../parts/states";
import { Table } from "../../parts/table";
import { many, Tag } from "../../parts/tags";

/** Requests and what is to be decided about them, run against the text above. */
export function Tests({
  text,
  table,
  setTable,
  mayWrite,
}: {
  text: string;
  table: string;
  setTable: (table: string) => void;
  mayWrite: boolean;
}) {
  const running = useMutation({ mutationFn: () => send("post", "/api/v1/policy/test", { body: { text, tests: table } }) });
  return (
    <section className="policy-tests" aria-labelledby="policy-tests">
      <div className="panel-head">
        <h2 id="policy-tests">Tests</h2>
        <p className="quiet">Requests and what must be decided. A text that fails one is not applied.</p>
      </div>
      {mayWrite && (
        <details>
          <summary>The table, in TOML</summary>
          <Field
            label="Table of tests"
            hint="It is applied together with the text, and kept with its version."
            value={table}
            onChange={(table) => {
              setTable(table);
              running.reset();
            }}
            lines={12}
            spellCheck="false"
          />
        </details>
      )}
      <div>
        <Button className="button" onPress={() => running.mutate()} isPending={running.isPending}>
          Run the tests
        </Button>
      </div>
      {running.isError && <Trouble error={running.error} />}
      {running.data && <Outcomes of={running.data} />}
    </section>
  );
}

function Outcomes({ of }: { of: Schemas["TestReport"] }) {
  const failed = of.tests.filter((test) => !test.passed).length;
  if (of.tests.length === 0) {
    return (
      <Empty title="The table is empty">
        <p>A test has a name, an action and what is expected: begin with one for each thing that must never be allowed.</p>
      </Empty>
    );
  }
  return (
    <>
      <p role="status" className={of.passed ? "verified" : "trouble"}>
        {of.passed ? `${many(of.tests.length, "test")} passed.` : `${failed} of ${many(of.tests.length, "test")} failed.`}
      </p>
      <Table
        caption="What came of the tests"
        items={of.tests}
        id={(test) => test.name}
        columns={[
          { name: "Test", cell: (test) => test.name },
          { name: "Result", cell: ({ passed }) => <Tag tone={passed ? "good" : "bad"}>{passed ? "Passed" : "Failed"}</Tag> },
          { name: "Expected", cell: (test) => test.expected, label: true },
          {
            name: "Decided",
            cell: (test) => (
              <>
                {test.found}
                {test.reason && <span className="under">{test.reason}</span>}
              </>
            ),
            label: true,
          },
          {
            name: "By",
            cell: ({ policies }) => (policies.length === 0 ? "no policy" : policies.map((id) => <code key={id}>{id} </code>)),
            label: true,
            kind: "wide",
          },
        ]}
      />
    </>
  );
}
