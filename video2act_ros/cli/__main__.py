"""`python -m video2act_ros.cli`."""

from video2act_ros.cli.commands import main

if __name__ == "__main__":
    main()
