// What needs me now?
import { usePlace } from "../../router";
import { CaseList } from "./list";
import { OneCase } from "./one";
import "./cases.css";

export default function Cases() {
  const { parts } = usePlace();
  const id = parts[1];
  return id ? <OneCase key={id} id={id} /> : <CaseList />;
}
