// The id of a MicroVM as an argument.
import { z } from 'zod';

export const microvmOption = z
  .string()
  .regex(/^[\w-]{1,256}$/, 'must be the id of a MicroVM, as list-microvms shows it');
