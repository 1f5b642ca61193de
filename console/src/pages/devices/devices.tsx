// Find one of a million; see one whole.
import { usePlace } from "../../router";
import { DeviceList } from "./list";
import { OneDevice } from "./one";
import "./devices.css";

export default function Devices() {
  const { parts } = usePlace();
  const id = parts[1];
  return id ? <OneDevice key={id} id={id} /> : <DeviceList />;
}
