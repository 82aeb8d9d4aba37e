// Environment variables every application finds. Reference c.4.
import type { BuildOrder } from '../contract/node-api.ts';

export function guestEnvironment(order: BuildOrder): Record<string, string> {
  return {
    AWS_LAMBDA_MICROVM_IMAGE_NAME: order.imageName,
    AWS_LAMBDA_MICROVM_IMAGE_ARN: order.imageArn,
    AWS_LAMBDA_MICROVM_IMAGE_VERSION: order.imageVersion,
    AWS_REGION: order.region,
  };
}
