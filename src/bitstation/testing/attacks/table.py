"""All attacks by name: for the command that plays them, and the test that holds a worker to each.

A name is that of the threat model's tests; what follows a dash tells variants apart.
"""

from __future__ import annotations

from bitstation.testing.attacks.attack import Attack, harmless
from bitstation.testing.attacks.inputs import of_inputs
from bitstation.testing.attacks.network import of_network
from bitstation.testing.attacks.trust import of_trust

_ALL = (harmless("none", "nothing but the truth"), *of_trust(), *of_network(), *of_inputs())
ATTACKS: dict[str, Attack] = {attack.name: attack for attack in _ALL}
