// The address of the view: #library/ID?q=…&status=… names what is open and which entries are wanted.

export const FILTERS = ["q", "model", "status", "tool", "owner", "metadata", "conversation", "background", "since", "until", "sort", "order"];
const DAY = 86_400;

export function readAddress(hash = location.hash) {
  const [path, query = ""] = hash.slice(1).split("?");
  const given = new URLSearchParams(query);
  const filters = Object.fromEntries(FILTERS.map((name) => [name, given.get(name) ?? ""]).filter(([, value]) => value));
  return { id: path.split("/").slice(1).join("/"), filters };
}

export function address(id, filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value)).toString();
  return `#library${id ? `/${id}` : ""}${query ? `?${query}` : ""}`;
}

const midnight = (day) => Math.floor(new Date(`${day}T00:00`).getTime() / 1000);

// The query of `GET /responses`; days are those of the person who looks.
export function apiQuery({ metadata = "", since, until, ...rest }) {
  const query = new URLSearchParams(Object.entries(rest).filter(([, value]) => value));
  for (const pair of metadata.split(",").map((one) => one.trim()).filter(Boolean)) {
    const [name, ...value] = pair.split("=");
    query.set(`metadata[${name.trim()}]`, value.join("=").trim());
  }
  if (since && midnight(since) > 0) query.set("since", midnight(since));
  if (until && midnight(until) > 0) query.set("until", midnight(until) + DAY);
  return query;
}
