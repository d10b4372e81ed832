"""Why a workflow, or a value for it, is refused: one struct for each kind of refusal."""
