import { useMutation } from "@tanstack/react-query";
import { Button } from "react-aria-components";

import { send, type Schemas } from "../../api/client";
import { Field } from "../../parts/fields";
import { Empty, Trouble } from "../../parts/states";
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
      <div className="table-frame">
        <table className="cards">
          <caption className="hidden">What came of the tests</caption>
          <thead>
            <tr>
              <th scope="col">Test</th>
              <th scope="col">Result</th>
              <th scope="col">Expected</th>
              <th scope="col">Decided</th>
              <th scope="col">By</th>
            </tr>
          </thead>
          <tbody>
            {of.tests.map((test) => (
              <tr key={test.name}>
                <th scope="row">{test.name}</th>
                <td>
                  <Tag tone={test.passed ? "good" : "bad"}>{test.passed ? "Passed" : "Failed"}</Tag>
                </td>
                <td data-name="Expected">{test.expected}</td>
                <td data-name="Decided">
                  {test.found}
                  {test.reason && <span className="under">{test.reason}</span>}
                </td>
                <td className="wide-cell" data-name="By">
                  {test.policies.length === 0 ? "no policy" : test.policies.map((id) => <code key={id}>{id} </code>)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
