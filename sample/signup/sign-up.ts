import { z } from 'zod';

/** What somebody who signs up sends. */
export const signUp = z.object({
  name: z.string('is missing').trim().min(1, 'is missing').max(100, 'is too long'),
  email: z.string('is missing').trim().pipe(z.email('is not an e-mail address').max(254, 'is too long')),
});

export type SignUp = z.infer<typeof signUp>;
