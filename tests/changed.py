"""Settings of a study with one key changed."""

import copy


def change(settings, path, value):
    """Return the settings with one key changed; None removes it."""
    changed = copy.deepcopy(settings)
    *parents, last = path
    place = changed
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed
