// The server's own affairs: who I am, the switch that stops automatic response, health, keys, the authority, tokens.
import { useMay } from "../../api/session";
import { Authority } from "./authority";
import { Health } from "./health";
import { Keys } from "./keys";
import { Myself } from "./myself";
import { Switch } from "./switch";
import { Tokens } from "./tokens";
import "./settings.css";

export default function Settings() {
  const may = useMay();
  return (
    <>
      <header className="head">
        <h1>Settings</h1>
      </header>
      <div className="panels">
        <Myself />
        {may("respond:read") && <Switch />}
        {may("ca:read") && <Authority />}
        {may("server:read") && <Health />}
        {may("server:read") && <Keys />}
        {may("admin") && <Tokens />}
      </div>
    </>
  );
}
