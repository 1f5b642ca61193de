// The keys that the server stands on: where they are, how old they are, and how each is replaced.
import { useQuery } from "@tanstack/react-query";

import { get, type Schemas } from "../../api/client";
import { Age, Empty, sentence } from "../../parts/states";
import { Listed } from "../../parts/table";
import { Ago, exactTime } from "../../parts/time";
import { LevelTag, withCode } from "./health";

type Key = Schemas["ServerKey"];

const PURPOSES: Record<Key["purpose"], { name: string; about: string }> = {
  root: { name: "Root", about: "signs the issuers" },
  issuer: { name: "Issuer", about: "signs certificates and the revocation list" },
  doors: { name: "Doors", about: "proves whose this server is" },
  key_encryption: { name: "Key-encryption key", about: "seals all others" },
};

const PLACES: Record<Key["place"], string> = {
  keystore: "sealed, on this server",
  elsewhere: "not on this server",
  file: "in a file",
  passphrase: "made of a passphrase",
  credential: "given by systemd",
};

export function Keys() {
  const keys = useQuery({
    queryKey: ["keys"],
    queryFn: ({ signal }) => get("/api/v1/keys", { signal }),
    refetchInterval: 60_000,
  });
  return (
    <section className="panel whole" aria-labelledby="keys">
      <div className="panel-head">
        <h2 id="keys">Keys</h2>
        <Age query={keys} />
      </div>
      <Listed
        query={keys}
        what="Reading the keys"
        empty={<Empty title="The server names no key" />}
        caption="Keys of the server"
        id={(key) => key.purpose}
        columns={[
          {
            name: "Key",
            cell: ({ purpose }) => (
              <>
                {PURPOSES[purpose].name}
                <span className="under">{PURPOSES[purpose].about}</span>
              </>
            ),
          },
          { name: "State", cell: (key) => <LevelTag of={key.state} /> },
          { name: "Where", cell: (key) => PLACES[key.place], label: true },
          { name: "Age", cell: (key) => (key.since ? <Ago at={key.since} /> : "never rotated"), label: true },
          { name: "Ends", cell: (key) => (key.until ? exactTime(key.until) : "no end"), label: true },
          { name: "Rotation", cell: (key) => withCode(sentence(key.rotation)), label: true, kind: "wide" },
        ]}
      />
    </section>
  );
}
