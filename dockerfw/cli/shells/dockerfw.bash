# Completion of dockerfw for bash: written by `dockerfw completion bash`.
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
    local lines=() line number=0 config=${DOCKERFW_CONFIG:-@CONFIG@}
    case $1 in
        @history)
            for line in @HISTORY@/[0-9]*; do
                [[ ${line##*/} == *[!0-9]* ]] || offered+=("${line##*/}")
            done
            return ;;
        @temporary)
            line=@DROP_INS@
            [[ $config == */* ]] && line=${config%/*}/$line
            [[ -f $line && -r $line ]] && mapfile -t -n 20000 lines <"$line"
            for line in "${lines[@]}"; do
                [[ $line == '[[allow]]'* ]] && offered+=("$((++number))")
            done
            return ;;
    esac
    line=@CACHE@
    [[ -f $line && -r $line && ! -L $line ]] && mapfile -t -n 100000 lines <"$line"
    # They are sorted: those that begin so stand beside each other.
    local begins="${1#@} $cur" low=0 high=${#lines[@]} first middle
    while ((low < high)); do
        middle=$(((low + high) / 2))
        if [[ ${lines[middle]} < $begins ]]; then low=$((middle + 1)); else high=$middle; fi
    done
    first=$low high=${#lines[@]}
    while ((low < high)); do
        middle=$(((low + high) / 2))
        if [[ ${lines[middle]} == "$begins"* ]]; then low=$((middle + 1)); else high=$middle; fi
    done
    lines=("${lines[@]:first:low - first}")
    lines=("${lines[@]#* }")
    # Nothing that bash would take for more than a word, or dockerfw for an option.
    if [[ " ${lines[*]}" == *[!a-zA-Z0-9_.:/@+\ -]* || " ${lines[*]}" == *' -'* ]]; then
        for line in "${lines[@]}"; do
            [[ $line != -* && $line != *[!a-zA-Z0-9_.:/@+-]* ]] && offered+=("$line")
        done
        return
    fi
    offered+=("${lines[@]}")
}

_dockerfw() {
    local LC_ALL=C IFS=$' \t\n' rest=${COMP_LINE:0:COMP_POINT} words=() piece i
    # bash takes web:80 for three words: what has no space between is one.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        if ((i == 0)) || [[ $rest == [[:space:]]* ]]; then
            rest=${rest#"${rest%%[![:space:]]*}"}
            words+=('')
        fi
        [[ $rest == "$piece"* ]] || piece=$rest
        words[${#words[@]} - 1]+=$piece
        rest=${rest#"$piece"}
    done

    local typed=${words[${#words[@]} - 1]} command='' behind='' arguments=0 word
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
        if [[ $behind ]]; then
            behind=''
        elif [[ $word == -* ]]; then
            _dockerfw_place "$command" "$word" && behind=$word
        elif [[ $command ]]; then
            ((arguments++))
        else
            command=$word
        fi
    done

    local cur=$typed takes='' offered=() opening=''
    if [[ $behind ]]; then
        _dockerfw_place "$command" "$behind"
    elif [[ $typed == --*=* ]]; then
        opening=${typed%%=*}=
        cur=${typed#*=}
        _dockerfw_place "$command" "${typed%%=*}" || return 0
    elif [[ $typed == -* ]]; then
        _dockerfw_options "$command" || return 0
    else
        _dockerfw_place "$command" "$((arguments + 1))" || return 0
    fi
    for word in $takes; do
        case $word in
            @file) compopt -o default 2>/dev/null; return 0 ;;
            @*) _dockerfw_read "$word" ;;
            *) [[ $word == "$cur"* ]] && offered+=("$word") ;;
        esac
    done

    # All words at once, since there may be thousands; one by one where one begins otherwise.
    local others=("${offered[@]/#"$cur"*/}")
    if [[ ${others[*]} == *[!\ ]* ]]; then
        others=("${offered[@]}") offered=()
        for word in "${others[@]}"; do
            [[ $word == "$cur"* ]] && offered+=("$word")
        done
    fi
    # Behind the last of these a word begins for readline, and that part alone is replaced.
    local breaks=${COMP_WORDBREAKS//[!:=@]/} lead=''
    [[ $breaks ]] && lead=${typed%"${typed##*[$breaks]}"}
    offered=("${offered[@]/#/"$opening"}")
    COMPREPLY=("${offered[@]#"$lead"}")
}

complete -F _dockerfw dockerfw
