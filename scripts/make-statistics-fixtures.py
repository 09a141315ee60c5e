"""Two-sided t-tests of paired differences with their 95 % intervals by SciPy: test/fixtures/paired_tests.json."""

import json
import sys

import numpy as np
import scipy
from scipy import stats

rng = np.random.default_rng(0)
cases = []
for pairs in (3, 4, 5, 10, 30, 200):
    for shift, spread in ((0, 1), (0.5, 1), (3, 0.2), (-1e-3, 1e-4), (1e4, 1e-2), (1e-9, 1)):
        differences = rng.normal(shift, spread, pairs)
        found = stats.ttest_1samp(differences, 0)
        interval = found.confidence_interval(0.95)
        cases.append(
            {
                "differences": differences.tolist(),
                "p": found.pvalue,
                "low": interval.low,
                "high": interval.high,
                "deviation": differences.std(ddof=1),
            }
        )
with open(f"{sys.argv[1]}/paired_tests.json", "w", encoding="utf-8") as file:
    json.dump({"by": f"scipy {scipy.__version__}, ttest_1samp", "cases": cases}, file, indent=1)
    file.write("\n")
