/** A failure that the user can mend: what went wrong, and what to do about it. Printed without a stack trace. */
export class SetupFailure extends Error {
  /**
   * @param {string} cause
   * @param {string} remedy
   * @param {{ details?: string }} options
   */
  constructor(cause, remedy, { details = "" } = {}) {
    super(cause);
    this.name = "SetupFailure";
    this.remedy = remedy;
    this.details = details;
  }
}

const ROOMIER = "or move the checkout, or by BATCH_CAM_CACHE the cache, to a roomier disk";
const YOURS = "or run from a folder that is yours";
/**
 * What a refusal of the system means, what to do about it, and the usual way round it.
 *
 * @type {Record<string, [cause: string, remedy: string, elsewhere: string]>}
 */
const SYSTEM_CAUSES = {
  ENOSPC: ["no space left on the disk", "free some space", ROOMIER],
  EDQUOT: ["the disk quota is used up", "free some space", ROOMIER],
  EACCES: ["not allowed to write there", "give yourself write access", YOURS],
  EPERM: ["not allowed to write there", "give yourself write access", YOURS],
  EROFS: ["the file system is read-only", "mount it for writing", YOURS],
  EMFILE: ["too many open files", "raise the limit with `ulimit -n 4096`", ""],
};
/**
 * What these mean where a folder was to be made; elsewhere a missing file is a fault of ours.
 *
 * @type {typeof SYSTEM_CAUSES}
 */
const FOLDER_CAUSES = {
  ...SYSTEM_CAUSES,
  ENOENT: ["the file system there takes no new folders", "choose a folder on a disk", YOURS],
  ENOTDIR: ["a part of that path is a file", "move that file away", YOURS],
  EEXIST: ["something that is no folder has that name", "move it away", YOURS],
  ENAMETOOLONG: ["the name is too long", "choose a shorter one", ""],
  ELOOP: ["its symbolic links lead in a circle", "mend the links", YOURS],
};

/**
 * The code of a system error, such as ENOSPC, and the path; nothing of any other value.
 *
 * @param {unknown} error
 * @returns {NodeJS.ErrnoException | { code?: undefined, path?: undefined }}
 */
export const systemError = (error) => (error instanceof Error ? error : {});

/**
 * @param {string} remedy
 * @param {string | undefined} elsewhere
 */
const join = (remedy, elsewhere) => (elsewhere ? `${remedy}, ${elsewhere}` : remedy);

/**
 * Any thrown value as a SetupFailure: system errors by their code, the rest as a fault of ours.
 *
 * @param {unknown} error
 * @returns {SetupFailure}
 */
export function asFailure(error) {
  if (error instanceof SetupFailure) return error;
  const { code = "", path } = systemError(error);
  const known = SYSTEM_CAUSES[code];
  if (known) {
    const [cause, remedy, elsewhere] = known;
    return new SetupFailure(`${cause} (${code}${path ? `: ${path}` : ""})`, join(remedy, elsewhere));
  }
  return unexpected(error);
}

/**
 * Why a folder could not be made, as a SetupFailure; `elsewhere` ("or …") is the way round it that fits that folder.
 *
 * @param {string} path
 * @param {unknown} error
 * @param {string} [elsewhere]
 */
export function folderFailure(path, error, elsewhere) {
  const { code = "" } = systemError(error);
  const known = FOLDER_CAUSES[code];
  if (!known) return unexpected(error);
  const [cause, remedy, usual] = known;
  return new SetupFailure(`cannot make the folder ${path}: ${cause} (${code})`, join(remedy, elsewhere ?? usual));
}

/** @param {unknown} error */
function unexpected(error) {
  return new SetupFailure(
    `unexpected: ${error instanceof Error ? error.message : error}`,
    "run it again with BATCH_CAM_DEBUG=1 and report the stack trace: this is a fault of set-up",
  );
}

/** Network failures as npm, pip and curl word them. */
const OFFLINE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|NewConnectionError|NameResolutionError|Failed to establish a new connection|name resolution|Name or service not known|nodename nor servname|ConnectTimeout|Read timed out|ReadTimeoutError|ProxyError|Network is unreachable|Max retries exceeded|Connection refused|Connection reset/i;
const CERTIFICATE = /CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF/;
const FULL = /ENOSPC|No space left on device|Errno 28|EDQUOT|Disk quota exceeded/i;

/**
 * A full disk as a tool's output tells it, null where it tells of none; `elsewhere` ("or …") is the way round it.
 *
 * @param {string} tool
 * @param {string} output
 * @param {string} where
 */
export function diskFailure(tool, output, where, elsewhere = "or move the checkout to a roomier disk") {
  return FULL.test(output)
    ? new SetupFailure(`no space left on the disk while ${tool} wrote to ${where}`, join("free some space", elsewhere))
    : null;
}

/**
 * A network that cannot be reached or trusted as a tool's output tells it; null where it tells of neither.
 *
 * @param {string} tool
 * @param {string} output
 */
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

/**
 * The last lines of a tool's output.
 *
 * @param {string} output
 */
export function tail(output, lines = 20) {
  return output.trimEnd().split("\n").slice(-lines).join("\n");
}
