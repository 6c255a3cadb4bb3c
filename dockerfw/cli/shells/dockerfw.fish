# Completion of dockerfw for fish: written by `dockerfw completion fish`.
# Starts no process and asks nobody: names are those that dockerfw last wrote down, for root alone.

# Prints what stands at a place of a command: behind an option, or as its first or second argument.
# Fails where nothing does; a word with @ is not offered, but stands for what is read.
function __dockerfw_place
    switch "$argv[1]:$argv[2]"
@PLACES@
        case '*'
            return 1
    end
end

function __dockerfw_options
    switch "$argv[1]"
@OPTIONS@
    end
end

# Prints the words of a kind.
function __dockerfw_read
    switch $argv[1]
        case @history
            string replace --regex '.*/' '' @HISTORY@/*
        case @temporary
            set -l config @CONFIG@
            set -q DOCKERFW_CONFIG; and set config $DOCKERFW_CONFIG
            set -l file @DROP_INS@
            string match --quiet '*/*' -- $config
            and set file (string replace --regex '/[^/]*$' '' -- $config)/$file
            test -f $file -a -r $file; or return
            set -l rules (string match --regex '^\[\[allow\]\]' <$file)
            set -l number 0
            for rule in $rules
                set number (math $number + 1)
                echo $number
            end
        case '*'
            set -l file @CACHE@
            test -f $file -a -r $file; and not test -L $file; or return
            string replace --filter --regex "^$(string sub --start 2 $argv[1]) " '' <$file
    end
end

function __dockerfw_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l typed (commandline --current-token --cut-at-cursor)
    set -l command ''
    set -l behind
    set -l arguments 0
    for word in $words[2..]
        if test -n "$behind"
            set behind
        else if string match --quiet -- '-*' $word
            __dockerfw_place "$command" $word >/dev/null; and set behind $word
        else if test -n "$command"
            set arguments (math $arguments + 1)
        else
            set command $word
        end
    end

    set -l opening ''
    set -l cur "$typed"
    set -l takes
    if test -n "$behind"
        set takes (__dockerfw_place "$command" $behind)
    else if string match --quiet -- '--*=*' "$typed"
        set takes (__dockerfw_place "$command" (string replace --regex '=.*' '' -- $typed)); or return
        set opening (string replace --regex '=.*' '=' -- $typed)
        set cur (string replace --regex '^[^=]*=' '' -- $typed)
    else if string match --quiet -- '-*' "$typed"
        __dockerfw_options "$command"
        return
    else if test -z "$command"
        __dockerfw_options commands
        return
    else
        set takes (__dockerfw_place "$command" (math $arguments + 1)); or return
    end
    for word in $takes
        switch $word
            case @file
                string replace --regex -- '^' $opening (__fish_complete_path $cur)
            case '@*'
                set -l offered (__dockerfw_read $word)
                # Nothing that fish would take for more than a word, or dockerfw for an option.
                set offered (string match --regex '^[a-zA-Z0-9_.:/@+][a-zA-Z0-9_.:/@+-]*$' -- $offered)
                string replace --regex -- '^' $opening $offered
            case '*'
                echo $opening$word
        end
    end
end

complete --command dockerfw --no-files --arguments '(__dockerfw_complete)'
