/** A failure that the user can fix, with its cause and a remedy. It is printed without a stack trace. */
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

const ROOMIER = "or move the checkout (or, with BATCH_CAM_CACHE, the cache) to a disk with more space";
const YOURS = "or run in a folder that you own";
/**
 * For each code of a system error its meaning, a remedy, and another way out.
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
 * The same for errors that mean something else when a folder is made; anywhere else, a missing file is a fault of the set-up.
 *
 * @type {typeof SYSTEM_CAUSES}
 */
const FOLDER_CAUSES = {
  ...SYSTEM_CAUSES,
  ENOENT: ["new folders cannot be made in that file system", "choose a folder on a disk", YOURS],
  ENOTDIR: ["a part of that path is a file", "move that file away", YOURS],
  EEXIST: ["a file that is not a folder has that name", "move it away", YOURS],
  ENAMETOOLONG: ["the name is too long", "choose a shorter one", ""],
  ELOOP: ["its symbolic links form a loop", "fix the links", YOURS],
};

/**
 * The code and path of a system error, such as ENOSPC, or an empty object for any other value.
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
 * Converts any thrown value into a SetupFailure: system errors by their code, and others as a fault of the set-up.
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
 * The reason why a folder could not be made, as a SetupFailure. `elsewhere` ("or …") is another way out that fits that folder.
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
    "run it again with BATCH_CAM_DEBUG=1 and report the stack trace: this is a fault of the set-up",
  );
}

/** Messages of npm, pip and curl about network failures. */
const OFFLINE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|NewConnectionError|NameResolutionError|Failed to establish a new connection|name resolution|Name or service not known|nodename nor servname|ConnectTimeout|Read timed out|ReadTimeoutError|ProxyError|Network is unreachable|Max retries exceeded|Connection refused|Connection reset/i;
const CERTIFICATE = /CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF/;
const FULL = /ENOSPC|No space left on device|Errno 28|EDQUOT|Disk quota exceeded/i;

/**
 * A failure for a full disk if a tool's output reports one, or null. `elsewhere` ("or …") is another way out.
 *
 * @param {string} tool
 * @param {string} output
 * @param {string} where
 */
export function diskFailure(tool, output, where, elsewhere = "or move the checkout to a disk with more space") {
  return FULL.test(output)
    ? new SetupFailure(`no space left on the disk while ${tool} wrote to ${where}`, join("free some space", elsewhere))
    : null;
}

/**
 * A failure for a network that cannot be reached, or a certificate that is not trusted, if a tool's output reports one, or null.
 *
 * @param {string} tool
 * @param {string} output
 */
export function networkFailure(tool, output) {
  if (CERTIFICATE.test(output)) {
    return new SetupFailure(
      `${tool} does not trust the server's certificate`,
      "behind a company proxy, set NODE_EXTRA_CA_CERTS (npm) and PIP_CERT (pip) to the proxy's certificate file",
      { details: tail(output) },
    );
  }
  if (OFFLINE.test(output)) {
    return new SetupFailure(
      `${tool} could not reach the network`,
      "connect (or set HTTPS_PROXY) and run `npm run setup` again; finished downloads are kept",
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
