const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

const LOG_INTERVAL_MS = 15_000;

/** @param {number} since */
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/**
 * Prints the progress of the set-up: one line per step with its time. On a terminal, the running step shows a spinner and its latest
 * status.
 */
export class Progress {
  #stream;

  constructor(stream = process.stderr) {
    this.#stream = stream;
  }

  /** @param {string} text */
  note(text) {
    this.#stream.write(`setup: ${text}\n`);
  }

  /**
   * Runs one step. `work` receives a function that changes the status shown after the title.
   *
   * @template Result
   * @param {string} title
   * @param {(say: (word: string) => void) => Promise<Result>} work
   * @returns {Promise<Result>}
   */
  async step(title, work) {
    const start = performance.now();
    const stop = this.#stream.isTTY ? this.#spin(title, start) : this.#plain(title);
    try {
      const result = await work(stop.say);
      stop.end(`setup: ${title}: done in ${seconds(start)}\n`);
      return result;
    } catch (error) {
      stop.end(`setup: ${title}: failed after ${seconds(start)}\n`);
      throw error;
    }
  }

  /**
   * Prints a line from time to time if the output is not a terminal, so that long steps show progress.
   *
   * @param {string} title
   * @returns {{ say(word: string): void, end(line: string): void }}
   */
  #plain(title) {
    this.#stream.write(`setup: ${title} ...\n`);
    let last = performance.now();
    /** @param {string} text */
    const say = (text) => {
      if (performance.now() - last < LOG_INTERVAL_MS) return;
      last = performance.now();
      this.#stream.write(`setup: ${title}: ${text}\n`);
    };
    return { say, end: (line) => void this.#stream.write(line) };
  }

  /**
   * @param {string} title
   * @param {number} start
   * @returns {{ say(word: string): void, end(line: string): void }}
   */
  #spin(title, start) {
    let word = "";
    let frame = 0;
    const draw = () => {
      const text = `${FRAMES[frame++ % FRAMES.length]} ${seconds(start)} ${title}${word && `: ${word}`}`;
      this.#stream.write(`\r\x1b[K${text.slice(0, (this.#stream.columns ?? 80) - 1)}`);
    };
    draw();
    const timer = setInterval(draw, 120);
    return {
      say: (text) => {
        word = text;
      },
      end: (line) => {
        clearInterval(timer);
        this.#stream.write(`\r\x1b[K${line}`);
      },
    };
  }
}
