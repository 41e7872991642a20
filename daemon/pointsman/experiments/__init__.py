"""Judge canaries by the test that comparisons of experiments use."""
