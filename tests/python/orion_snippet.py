"""ReLU from a snippet of `polyact design --format orion`, evaluated as Orion does, at -1, -0.99, ..., 1; prints JSON.

    orion_snippet.py SNIPPET
"""

import json
import runpy
import sys

from numpy.polynomial.chebyshev import chebval

snippet = runpy.run_path(sys.argv[1])
assert [len(stage) - 1 for stage in snippet["STEP"]] == snippet["DEGREES"]
values = []
for i in range(-100, 101):
    x = step = i / 100
    for stage in snippet["STEP"]:
        step = chebval(step, stage)
    values.append(x * step)
print(json.dumps(values))
