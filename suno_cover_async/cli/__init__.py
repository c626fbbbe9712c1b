"""The command line, `suno-cover`: the only modules that print.

They know people and terminals, and use the package as any other caller would. Results go to
standard output, everything else to standard error.

====  ==========================================================================
code  meaning
====  ==========================================================================
0     all done
1     something failed or is left; what, and what to do next, is on standard error
2     the command line, or one of its values, makes no sense; or the base URL is not the API's
3     the API key is missing or was refused
4     no credits left
5     not finished in time; the same command waits again and never pays twice
6     a library of the command line is missing: pip install click rich pillow
130   interrupted by Ctrl-C
143   ended by SIGTERM
====  ==========================================================================
"""
