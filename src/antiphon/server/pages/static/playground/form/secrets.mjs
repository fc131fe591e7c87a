// Credentials in a request (of MCP servers): they are kept in no storage that lasts, in no preset and in no link.

const NAMES = /^(authorization|headers|api[_-]?key|access[_-]?token|client[_-]?secret|secret|password)$/i;

export function withoutSecrets(value) {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => !NAMES.test(name)).map(([name, one]) => [name, name === "server_url" ? bare(one) : withoutSecrets(one)]));
}

// An address without a user, a password, a query: servers take keys there.
function bare(address) {
  if (!URL.canParse(address)) return "";
  const { origin, protocol, host, pathname } = new URL(address);
  return `${origin === "null" ? `${protocol}//${host}` : origin}${pathname}`;
}
