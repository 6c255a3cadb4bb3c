#compdef dockerfw
# Completion of dockerfw for zsh: written by `dockerfw completion zsh`.
# Starts no process and asks nobody: names are those that dockerfw last wrote down, for root alone.

# What stands at a place of a command: behind an option, or as its first or second argument. Fails
# where nothing does; a word with @ is not offered, but stands for what is read.
_dockerfw_place() {
    case $1:$2 in
@PLACES@
        *) return 1 ;;
    esac
}

_dockerfw_options() {
    case $1 in
@OPTIONS@
        *) return 1 ;;
    esac
}

# Adds the words of a kind.
_dockerfw_read() {
    local config=${DOCKERFW_CONFIG:-@CONFIG@} file
    local -a lines
    case $1 in
        @history)
            offered+=(@HISTORY@/*(N:t))
            return ;;
        @temporary)
            file=${config:h}/@DROP_INS@
            [[ -f $file && -r $file ]] && lines=("${(@f)mapfile[$file]}")
            lines=(${(M)lines:#\[\[allow\]\]*})
            (($#lines)) && offered+=({1..$#lines})
            return ;;
    esac
    file=@CACHE@
    [[ -f $file && -r $file && ! -L $file ]] && lines=("${(@f)mapfile[$file]}")
    offered+=(${${(M)lines:#${1#@} *}#* })
}

_dockerfw() {
    emulate -L zsh
    setopt extended_glob
    zmodload -F zsh/mapfile p:mapfile 2>/dev/null || return 1
    local typed=$words[CURRENT] command='' behind='' word takes='' arguments=0
    local -a offered options
    for word in "${(@)words[2,CURRENT-1]}"; do
        if [[ -n $behind ]]; then
            behind=''
        elif [[ $word == -* ]]; then
            _dockerfw_place "$command" "$word" && behind=$word
        elif [[ -n $command ]]; then
            ((++arguments))
        else
            command=$word
        fi
    done

    takes=''
    if [[ -n $behind ]]; then
        _dockerfw_place "$command" "$behind"
    elif [[ $typed == --*=* ]]; then
        _dockerfw_place "$command" "${typed%%=*}" || return 1
        compset -P 1 '*='
    elif [[ $typed == -* ]]; then
        _dockerfw_options "$command" || return 1
        _describe -o option options
        return
    elif [[ -z $command ]]; then
        _dockerfw_options commands
        _describe command options
        return
    else
        _dockerfw_place "$command" "$((arguments + 1))" || return 1
    fi
    for word in ${=takes}; do
        case $word in
            @file) _files; return ;;
            @*) _dockerfw_read "$word" ;;
            *) offered+=("$word") ;;
        esac
    done
    # Nothing that zsh would take for more than a word, or dockerfw for an option.
    offered=(${(M)offered:#[a-zA-Z0-9_.:/@+][a-zA-Z0-9_.:/@+-]#})
    compadd -a offered
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _dockerfw "$@"
else
    compdef _dockerfw dockerfw
fi
