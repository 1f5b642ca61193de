import { useMay } from "../../api/session";
import { accountHref, Link } from "../../router";

/** An account: a link for who may see its page. */
export function AccountName({ of }: { of: string }) {
  const may = useMay();
  return may("admin") ? <Link href={accountHref(of)}>{of}</Link> : <>{of}</>;
}
