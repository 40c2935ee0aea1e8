// Imported first: this process' clock is off by SKEW_MS.
const skewMs = Number(process.env.SKEW_MS ?? 0);

if (skewMs !== 0) {
  const Right = Date;
  const now = Right.now.bind(Right);
  globalThis.Date = class extends Right {
    constructor(...parts) {
      if (parts.length === 0) super(now() + skewMs);
      else super(...parts);
    }
    static now() {
      return now() + skewMs;
    }
  };
}
