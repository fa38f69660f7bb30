"""The page of `refvid ui`: the functions of `import refvid`, in a browser."""
