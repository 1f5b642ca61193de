import type { Schemas } from "../../api/client";

export type RoleName = Schemas["AccountRequest"]["roles"][number];

/** The roles that a server comes with, and what each is for. */
export const ROLES: Readonly<Record<string, string>> = {
  owner: "Everything; needs a second factor.",
  "security-analyst": "Reads the fleet, policy, events and the ledger; works on findings and cases; contains devices.",
  operator: "Devices, tokens, services, messages; reads policy, events, findings and cases.",
  "release-manager": "Reads devices, services, events and findings.",
  auditor: "Reads everything, changes nothing.",
  technician: "Devices.",
};

export const ROLE_NAMES = Object.keys(ROLES) as RoleName[];

export function RoleTable() {
  return (
    <div className="table-frame">
      <table className="cards">
        <caption className="hidden">Roles</caption>
        <thead>
          <tr>
            <th scope="col">Role</th>
            <th scope="col">May</th>
          </tr>
        </thead>
        <tbody>
          {ROLE_NAMES.map((role) => (
            <tr key={role}>
              <th scope="row">{role}</th>
              <td>{ROLES[role]}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A choice of roles; each says what it gives. */
export function RoleChoice({ value, onChange }: { value: readonly RoleName[]; onChange: (roles: RoleName[]) => void }) {
  return (
    <fieldset className="role-choice">
      <legend>Roles</legend>
      {ROLE_NAMES.map((role) => (
        <label key={role}>
          <input
            type="checkbox"
            checked={value.includes(role)}
            onChange={(event) =>
              onChange(event.target.checked ? [...value, role] : value.filter((other) => other !== role))
            }
          />
          <span>
            <strong>{role}</strong>
            <span className="quiet">{ROLES[role]}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
