"""The lifecycle hooks: POST /aws/lambda-microvms/runtime/v1/<hook> on port 9000."""

import random

from web import Handler, Refusal

PREFIX = "/aws/lambda-microvms/runtime/v1"


class Life:
    """What the hooks tell this MicroVM about itself."""

    def __init__(self):
        self.warm, self.microvm_id, self.payload, self.resumes = False, None, None, 0


def hooks_for(life):
    def ready(_handler):
        if not life.warm:
            raise Refusal(503, "Still warming up.")
        return {}

    def run(handler):
        body = handler.json_body()
        life.microvm_id, life.payload = body.get("microvmId"), body.get("runHookPayload")
        # The kernel's generator was reseeded by the platform; Python's own was copied with the snapshot.
        random.seed()
        return {}

    def resume(_handler):
        life.resumes += 1
        random.seed()
        return {}

    def nothing_to_do(_handler):
        return {}

    class Hooks(Handler):
        routes = {
            ("POST", f"{PREFIX}/ready"): ready,
            ("POST", f"{PREFIX}/run"): run,
            ("POST", f"{PREFIX}/resume"): resume,
            ("POST", f"{PREFIX}/suspend"): nothing_to_do,
            ("POST", f"{PREFIX}/terminate"): nothing_to_do,
        }

    return Hooks
