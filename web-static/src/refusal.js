/** Why a photo is refused: `code` for programs, `message` for people. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}
