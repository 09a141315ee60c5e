/** A failure that the user can mend: what went wrong, and what to do about it. Printed without a stack trace. */
export class SetupFailure extends Error {
  constructor(cause, remedy, { details = "" } = {}) {
    super(cause);
    this.name = "SetupFailure";
    this.remedy = remedy;
    this.details = details;
  }
}

const SYSTEM_CAUSES = {
  ENOSPC: ["no space left on the disk", "free some space, or point BATCH_CAM_CACHE at a roomier disk"],
  EDQUOT: ["the disk quota is used up", "free some space, or point BATCH_CAM_CACHE at another disk"],
  EACCES: ["not allowed to write there", "give yourself write access, or run from a folder that is yours"],
  EPERM: ["not allowed to write there", "give yourself write access, or run from a folder that is yours"],
  EROFS: ["the file system is read-only", "run from a folder that can be written"],
  EMFILE: ["too many open files", "raise the limit with `ulimit -n 4096`"],
};

/** Any thrown value as a SetupFailure: system errors by their code, the rest as a fault of ours. */
export function asFailure(error) {
  if (error instanceof SetupFailure) return error;
  const known = SYSTEM_CAUSES[error?.code];
  if (known) return new SetupFailure(`${known[0]} (${error.code}${error.path ? `: ${error.path}` : ""})`, known[1]);
  return new SetupFailure(
    `unexpected: ${error?.message ?? error}`,
    "run it again with BATCH_CAM_DEBUG=1 and report the stack trace: this is a fault of set-up",
  );
}

/** Network failures as npm, pip and curl word them. */
const OFFLINE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|NewConnectionError|NameResolutionError|Failed to establish a new connection|name resolution|Name or service not known|nodename nor servname|ConnectTimeout|Read timed out|ReadTimeoutError|ProxyError|Network is unreachable|Max retries exceeded|Connection refused|Connection reset/i;
const CERTIFICATE = /CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF/;
const FULL = /ENOSPC|No space left on device|Errno 28|EDQUOT|Disk quota exceeded/i;

/** A full disk as a tool's output tells it; null where it tells of none. */
export function diskFailure(tool, output, where) {
  return FULL.test(output)
    ? new SetupFailure(`no space left on the disk while ${tool} wrote to ${where}`, SYSTEM_CAUSES.ENOSPC[1])
    : null;
}

/** A network that cannot be reached or trusted as a tool's output tells it; null where it tells of neither. */
export function networkFailure(tool, output) {
  if (CERTIFICATE.test(output)) {
    return new SetupFailure(
      `${tool} does not trust the certificate that it was shown`,
      "behind a company proxy, set NODE_EXTRA_CA_CERTS (npm) and PIP_CERT (pip) to the proxy's certificate file",
      { details: tail(output) },
    );
  }
  if (OFFLINE.test(output)) {
    return new SetupFailure(
      `${tool} could not reach the network`,
      "connect (or set HTTPS_PROXY) and run `npm run setup` again; what is already there is kept",
      {
        details: tail(
          output
            .split("\n")
            .filter((line) => OFFLINE.test(line))
            .join("\n"),
          3,
        ),
      },
    );
  }
  return null;
}

/** The last lines of a tool's output. */
export function tail(output, lines = 20) {
  return output.trimEnd().split("\n").slice(-lines).join("\n");
}
