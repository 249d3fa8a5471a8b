"""The gallery: the experiments of five tutorials as short TOML files, each run by its recipes and measured.

cases            a case as a value, from its file
series, samples  the tables: made, or read from files that may not be shipped
forecasting      one recipe of a forecasting case; demonstrations: what it shows besides
classifying      one recipe of a classification case
outcome          what a recipe gave
run              recipes in processes of their own, with seconds and memory
pictures, page   what people look at
"""
