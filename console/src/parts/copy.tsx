// What is to be taken along: copied, or kept as a file.
import { useState } from "react";
import { Button } from "react-aria-components";

export function Copy({ text, name }: { text: string; name: string }) {
  const [said, setSaid] = useState("");
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setSaid("Copied."),
      () => setSaid("The browser does not let this page copy: select the text and copy it."),
    );
  return (
    <>
      <Button className="button" onPress={() => void copy()}>
        {name}
      </Button>
      <span role="status" className="quiet">
        {said}
      </span>
    </>
  );
}

export function Download({ text, file, name }: { text: string; file: string; name: string }) {
  const save = () => {
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = file;
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <Button className="button" onPress={save}>
      {name}
    </Button>
  );
}
