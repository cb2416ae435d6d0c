"""What the columns are, for --help. Standard library only."""

EXPLANATION = """\
worst, rms    error on ciphertexts against the function itself
forecast      the largest error that polyact states; of a tournament, times its rounds
noise         largest difference to the same polynomials without encryption, in f64
levels        that were used
library       that the library's rule says, by degrees and scaling
polyact       that the file says
products      of two ciphertexts; `-` where the library does not tell
mults         that the file says
kept          whether the worst error is within 5 % of the forecast
"""
