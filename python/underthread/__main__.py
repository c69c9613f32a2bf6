from underthread._launch import main

# The script `underthread` calls it too.
__all__ = ["main"]

if __name__ == "__main__":
    main()
